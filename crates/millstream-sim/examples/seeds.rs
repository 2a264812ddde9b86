//! Writes the seeds that only code can make to `fuzz/corpus`, beside copies of those that lie in
//! `fuzz/seeds`: where the coverage-guided fuzzers begin.

use std::path::Path;

use millstream_sim::targets::{ALL, made_seeds};

fn main() -> std::io::Result<()> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    for target in ALL {
        let corpus = fuzz.join("corpus").join(target.name);
        std::fs::create_dir_all(&corpus)?;
        for entry in std::fs::read_dir(fuzz.join("seeds").join(target.name))? {
            let entry = entry?;
            std::fs::copy(entry.path(), corpus.join(entry.file_name()))?;
        }
        for (number, seed) in made_seeds(target.name).iter().enumerate() {
            #[allow(clippy::disallowed_methods)] // A tool writes where it is asked to.
            std::fs::write(corpus.join(format!("made-{number:02}")), seed)?;
        }
    }
    Ok(())
}
