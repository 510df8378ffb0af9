//! Both custom resources, each file one side of them; one program, because they share a stage.

mod answer;
mod init;
mod ready;
mod roll;
mod snapshot;
mod stage;
