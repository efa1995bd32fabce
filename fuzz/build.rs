//! The targets carry an interpreter: let them find its library without LD_LIBRARY_PATH.

fn main() {
    pyo3_build_config::add_libpython_rpath_link_args();
}
