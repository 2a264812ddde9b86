//! A server of our binary for one suite: its own port, its own data, gone at the end.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::process::end_group;

/// How long a server may take to be ready on an empty folder.
const READY: Duration = Duration::from_secs(30);

/// A running server; dropped, it is killed and its data removed.
pub(crate) struct Server {
    child: Child,
    folder: PathBuf,
    plain: SocketAddr,
    secure: SocketAddr,
}

impl Server {
    /// Starts the binary on free ports with an empty folder, and waits until it is ready.
    #[allow(clippy::disallowed_methods)] // A task, not the product.
    pub(crate) fn start(binary: &Path, folder: &Path, flags: &[&str]) -> Result<Self, String> {
        let told = |error: std::io::Error| format!("{}: {error}", folder.display());
        let _ = std::fs::remove_dir_all(folder);
        std::fs::create_dir_all(folder).map_err(told)?;
        let log = std::fs::File::create(folder.join("server.log")).map_err(told)?;
        let (plain, secure) = (free_address()?, free_address()?);
        let child = Command::new(binary)
            .arg("dev")
            .args(["--listen", &plain.to_string()])
            .args(["--tls-listen", &secure.to_string()])
            .arg("--data-dir")
            .arg(folder.join("data"))
            .args(flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(told)?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        let mut server = Self { child, folder: folder.to_path_buf(), plain, secure };
        server.wait_ready()?;
        server.export_authority(binary)?;
        Ok(server)
    }

    /// `http://…`
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.plain)
    }

    /// `https://…`
    pub(crate) fn tls_endpoint(&self) -> String {
        format!("https://localhost:{}", self.secure.port())
    }

    /// The authority that signed the server's certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Whether it is still there and has not panicked; the error shows what it said last.
    pub(crate) fn is_sound(&mut self) -> Result<(), String> {
        let log = self.log();
        if let Ok(Some(status)) = self.child.try_wait() {
            return Err(format!("the server died: {status}\n{}", tail(&log)));
        }
        if let Some(at) = log.find("panicked at") {
            return Err(format!("the server panicked\n{}", tail(&log[at..])));
        }
        Ok(())
    }

    fn log(&self) -> String {
        crate::tidy::read(&self.folder.join("server.log")).unwrap_or_default()
    }

    #[allow(clippy::disallowed_methods)] // A task, not the product.
    fn wait_ready(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + READY;
        while !is_ready(self.plain) {
            self.is_sound()?;
            if Instant::now() > deadline {
                let log = self.log();
                return Err(format!("/readyz said no for {} s\n{}", READY.as_secs(), tail(&log)));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    #[allow(clippy::disallowed_methods)] // A task, not the product.
    fn export_authority(&self, binary: &Path) -> Result<(), String> {
        let data = self.folder.join("data");
        let output = Command::new(binary)
            .args(["tls", "ca", "--data-dir"])
            .arg(data)
            .output()
            .map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() || !text.contains("BEGIN CERTIFICATE") {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("millstream tls ca: {}: {errors}", output.status));
        }
        std::fs::write(self.authority(), &output.stdout).map_err(|error| error.to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end_group(&mut self.child);
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// An address that was free a moment ago.
fn free_address() -> Result<SocketAddr, String> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| error.to_string())
}

fn is_ready(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut link = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        link.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(link, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        link.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// The last lines of a log.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
