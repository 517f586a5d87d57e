//! The program `kinglet`.

fn main() -> std::process::ExitCode {
    kinglet_tools::cli::main()
}
