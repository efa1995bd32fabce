//! Files go into GridFS and come out of it, against a scripted primary.

mod calls;
mod downloads;
#[path = "../scripted_server/mod.rs"]
mod scripted_server;
mod uploads;
