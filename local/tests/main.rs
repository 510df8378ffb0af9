//! Each file holds the local cloud to one part of AWS; one program, because they share the module `account`.

mod account;
mod custom_resources;
mod deploying;
mod ecs;
mod ecs_hosts;
mod ecs_run_task;
mod ecs_services;
mod elb_data_plane;
mod elb_targets;
mod events;
mod faults;
mod names;
mod s3;
mod throttling;
