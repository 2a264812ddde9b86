//! The conformance suites: how each is built, and run against a fresh server of ours.

use std::path::{Path, PathBuf};

use super::Plan;
use super::process::{Step, Tally};
use super::server::Server;

/// A program that judges a server, ready to run.
struct Judge {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    folder: PathBuf,
    /// How the server judged is started, beyond where it listens.
    flags: &'static [&'static str],
}

/// Builds the suites of a part and runs each against a server of its own.
pub(crate) fn run(plan: &Plan, part: &str) -> Result<Tally, String> {
    let is_alone = super::ALONE.contains(&part);
    let folder = plan.root.join("conformance").join(if is_alone { "python" } else { part });
    let judges = match part {
        "python" => python(plan, &folder)?,
        "javascript" => javascript(&folder)?,
        "java" => java(plan, &folder)?,
        "go" => go(plan, &folder)?,
        "rust" => rust(plan, &folder)?,
        "firehose" => {
            let mut tally = alone(plan, &folder, part, Some(&mortal(plan)?))?;
            tally += columnar(plan, &folder)?;
            return Ok(tally);
        }
        _ if is_alone => return alone(plan, &folder, part, None),
        _ => return Err("no such part".to_owned()),
    };
    let mut tally = Tally::default();
    for judge in judges {
        tally += session(plan, &judge)?;
    }
    Ok(tally)
}

/// One suite against one server.
fn session(plan: &Plan, judge: &Judge) -> Result<Tally, String> {
    println!("  {}", judge.name);
    let mut step = Step::new(judge.name, &judge.program)
        .arguments(&judge.arguments)
        .in_folder(&judge.folder)
        .environment("CONFORMANCE_RESULTS", plan.results())
        .environment("PYTHONDONTWRITEBYTECODE", "1")
        .environment("AWS_EC2_METADATA_DISABLED", "true");
    if let Some(endpoint) = &plan.endpoint {
        if !judge.flags.is_empty() {
            println!("  SKIPPED: it needs a server started with {}", judge.flags.join(" "));
            return Ok(Tally { skipped: 1, ..Tally::default() });
        }
        return step.environment("CONFORMANCE_ENDPOINT", endpoint).count();
    }
    let mut server = Server::start(&plan.binary(), &plan.workshop().join("server"), judge.flags)?;
    step = step
        .environment("CONFORMANCE_ENDPOINT", server.endpoint())
        .environment("CONFORMANCE_TLS_ENDPOINT", server.tls_endpoint())
        .environment("CONFORMANCE_CA_FILE", server.authority())
        // Node.js reads it when it starts, and trusts it besides its own.
        .environment("NODE_EXTRA_CA_CERTS", server.authority());
    let tally = step.count()?;
    server.is_sound()?;
    Ok(tally)
}

/// A virtual environment with what is pinned, made anew when the pins change.
#[allow(clippy::disallowed_methods)] // A task, not the product.
fn environment(plan: &Plan, folder: &Path) -> Result<PathBuf, String> {
    let place = plan.workshop().join("python");
    let program = place.join("bin/python");
    let wanted = crate::tidy::read(&folder.join("requirements.txt"))?;
    let stamp = place.join("installed.txt");
    if crate::tidy::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(program);
    }
    let _ = std::fs::remove_dir_all(&place);
    Step::new("venv", "python3").arguments(&["-m", "venv"]).arguments(&[&place]).must()?;
    let install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
        "requirements.txt",
    ];
    Step::new("pip install", &program).in_folder(folder).arguments(&install).must()?;
    std::fs::write(&stamp, wanted).map_err(|error| error.to_string())?;
    Ok(program)
}

fn python(plan: &Plan, folder: &Path) -> Result<Vec<Judge>, String> {
    let program = environment(plan, folder)?;
    let judge = |name, arguments: &[&str]| Judge {
        name,
        program: program.clone(),
        arguments: arguments.iter().map(ToString::to_string).collect(),
        folder: folder.to_path_buf(),
        flags: &[],
    };
    Ok(vec![
        judge("boto3", &["sdk.py"]),
        judge("AWS CLI", &["cli.py"]),
        judge("bare wire", &["-m", "wire"]),
        Judge { flags: &["--limits", "aws"], ..judge("limits = aws", &["limits.py"]) },
    ])
}

fn javascript(folder: &Path) -> Result<Vec<Judge>, String> {
    Step::new("npm ci", "npm")
        .in_folder(folder)
        .arguments(&["ci", "--no-audit", "--no-fund"])
        .must()?;
    Ok(vec![Judge {
        name: "AWS SDK for JavaScript v3",
        program: "node".into(),
        arguments: vec!["--no-warnings".into(), "src/suite.mjs".into()],
        folder: folder.to_path_buf(),
        flags: &[],
    }])
}

fn java(plan: &Plan, folder: &Path) -> Result<Vec<Judge>, String> {
    let output = plan.workshop().join("java");
    let libraries = plan.workshop().join("java.classpath");
    Step::new("mvn compile", "mvn")
        .in_folder(folder)
        .arguments(&["--quiet", "--batch-mode", "compile", "dependency:build-classpath"])
        .arguments(&[
            format!("-Doutput={}", output.display()),
            format!("-Dmdep.outputFile={}", libraries.display()),
        ])
        .must()?;
    let libraries = crate::tidy::read(&libraries)?;
    let classes = format!("{}:{}", output.join("classes").display(), libraries.trim());
    let judge = |name, is_cbor: bool| Judge {
        name,
        program: "java".into(),
        arguments: vec![
            format!("-Daws.cborEnabled={is_cbor}"),
            "-cp".into(),
            classes.clone(),
            "conformance.Main".into(),
        ],
        folder: folder.to_path_buf(),
        flags: &[],
    };
    Ok(vec![judge("AWS SDK for Java v2, CBOR", true), judge("AWS SDK for Java v2, JSON", false)])
}

fn go(plan: &Plan, folder: &Path) -> Result<Vec<Judge>, String> {
    let program = plan.workshop().join("go-suite");
    Step::new("go build", "go")
        .in_folder(folder)
        .arguments(&["build", "-o"])
        .arguments(&[&program])
        .arguments(&["."])
        .must()?;
    Ok(vec![Judge {
        name: "AWS SDK for Go v2",
        program,
        arguments: Vec::new(),
        folder: folder.to_path_buf(),
        flags: &[],
    }])
}

fn rust(plan: &Plan, folder: &Path) -> Result<Vec<Judge>, String> {
    let target = plan.workshop().join("rust");
    Step::new("cargo build", "cargo")
        .in_folder(folder)
        .environment("CARGO_TARGET_DIR", &target)
        .arguments(&["build", "--locked", "--quiet"])
        .minutes(15)
        .must()?;
    Ok(vec![Judge {
        name: "AWS SDK for Rust",
        program: target.join("debug/millstream-conformance"),
        arguments: Vec::new(),
        folder: folder.to_path_buf(),
        flags: &[],
    }])
}

/// The server built so that it can be told where to die. Unoptimized, which is a third of the
/// work, since nobody waits for it to be fast.
fn mortal(plan: &Plan) -> Result<PathBuf, String> {
    if let Some(given) = std::env::var_os("CONFORMANCE_FAULTS_BINARY") {
        return Ok(given.into());
    }
    let build = ["build", "--quiet", "--package", "millstream", "--features", "faults,iceberg"];
    Step::new("cargo build", "cargo").in_folder(&plan.root).arguments(&build).minutes(15).must()?;
    // Away from where the next build without the feature goes.
    let place = plan.workshop().join("millstream-faults");
    #[allow(clippy::disallowed_methods)] // A task, not the product.
    std::fs::copy(plan.target.join("debug/millstream"), &place)
        .map_err(|error| format!("{}: {error}", place.display()))?;
    Ok(place)
}

/// A suite that starts and kills its servers itself: the Python module of that name.
fn alone(plan: &Plan, folder: &Path, module: &str, mortal: Option<&Path>) -> Result<Tally, String> {
    let program = environment(plan, folder)?;
    let mut step = Step::new(module, program);
    if let Some(mortal) = mortal {
        step = step.environment("CONFORMANCE_FAULTS_BINARY", mortal);
    }
    step.in_folder(folder)
        .arguments(&["-m", module])
        .environment("CONFORMANCE_BINARY", plan.binary())
        .environment("CONFORMANCE_RESULTS", plan.results())
        .environment("CONFORMANCE_WORKSHOP", plan.workshop().join(module))
        .environment("PYTHONDONTWRITEBYTECODE", "1")
        .environment("AWS_EC2_METADATA_DISABLED", "true")
        .minutes(30)
        .count()
}

/// Files of the columnar writers, read back value by value by others' readers.
fn columnar(plan: &Plan, folder: &Path) -> Result<Tally, String> {
    let build = ["build", "--release", "--quiet", "--package", "millstream-columnar"];
    Step::new("cargo build", "cargo")
        .in_folder(&plan.root)
        .arguments(&build)
        .arguments(&["--example", "convert"])
        .minutes(15)
        .must()?;
    Step::new("columnar", environment(plan, folder)?)
        .in_folder(folder)
        .arguments(&["columnar.py"])
        .environment("CONFORMANCE_CONVERT", plan.target.join("release/examples/convert"))
        .environment("PYTHONDONTWRITEBYTECODE", "1")
        .minutes(15)
        .count()
}
