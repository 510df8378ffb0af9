//! Both custom resources, each file one side of them; one program, because they share the module `stage`.

mod answer;
mod init;
mod ready;
mod roll;
mod snapshot;
mod source;
mod stage;
