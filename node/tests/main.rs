//! The node program, each file one side of it; one program, because they share the module `task`.

mod again;
mod backup;
mod backups;
mod conf;
mod place;
mod process;
mod restore;
mod slave_only;
mod task;
mod verbs;
