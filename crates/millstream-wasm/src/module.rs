//! A module, judged before any record is given to it.

use std::fmt;

use wasmtime::{ExternType, FuncType, InstancePre, Linker};

use crate::contract::{
    ABI, HOST, INITIALIZE, INPUT, MEMORY, Signature, TRANSFORM, VERSION, import,
};
use crate::engine::{Engine, EngineError};
use crate::fault::Fault;
use crate::host::{self, State};
use crate::worker::{Batch, Worker};

/// Bytes of a module at most: what compiling it takes grows with it.
const MODULE_BYTES_MAX: usize = 16 << 20;
/// What a binary module begins with.
const MAGIC: &[u8] = b"\0asm";

/// Why a module cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    /// It is too large.
    #[error("it has {bytes} bytes, more than the limit of {MODULE_BYTES_MAX}")]
    TooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// It is something else.
    #[error("it is not a WebAssembly module: text has to be assembled first (wat2wasm)")]
    NoModule,
    /// It does not validate.
    #[error("it is not a valid WebAssembly module: {0}")]
    Invalid(String),
    /// It does not follow the contract.
    #[error("it does not follow the contract: {}", .reasons.join("; "))]
    Unfit {
        /// Everything that is missing or wrong.
        reasons: Vec<String>,
    },
    /// It follows another version of the contract.
    #[error("it follows version {found} of the contract, and this server has version {VERSION}")]
    Version {
        /// Which it says.
        found: i32,
    },
    /// No module runs here.
    #[error("{0}")]
    Engine(#[from] EngineError),
    /// It cannot even be set up.
    #[error("it cannot be started: {0}")]
    Unstartable(Fault),
}

/// A module, compiled. Clones are the same one.
#[derive(Clone)]
pub struct Module {
    pub(crate) engine: Engine,
    pub(crate) ready: InstancePre<State>,
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Module")
    }
}

impl Module {
    /// Compiles a module and sets it up once, for a look: what is wrong with it is said here, and
    /// not when the first record comes. It may take seconds; the time grows with the size.
    pub fn compile(engine: &Engine, bytes: &[u8]) -> Result<Self, ModuleError> {
        if bytes.len() > MODULE_BYTES_MAX {
            return Err(ModuleError::TooLarge { bytes: bytes.len() });
        }
        if !bytes.starts_with(MAGIC) {
            return Err(ModuleError::NoModule);
        }
        let invalid = |error: wasmtime::Error| ModuleError::Invalid(format!("{error:#}"));
        let compiled = wasmtime::Module::new(engine.wasmtime(), bytes).map_err(invalid)?;
        let reasons = reasons(&compiled, engine.limits().memory_bytes);
        if !reasons.is_empty() {
            return Err(ModuleError::Unfit { reasons });
        }
        let mut linker = Linker::new(engine.wasmtime());
        host::offer(&mut linker).map_err(invalid)?;
        let ready = linker.instantiate_pre(&compiled).map_err(invalid)?;
        let module = Self { engine: engine.clone(), ready };
        let found = Worker::new(&module, &Batch::default()).version();
        match found.map_err(ModuleError::Unstartable)? {
            VERSION => Ok(module),
            found => Err(ModuleError::Version { found }),
        }
    }
}

/// As the contract writes it.
fn signature(function: &FuncType) -> String {
    let list = |types: &mut dyn Iterator<Item = wasmtime::ValType>| {
        types.map(|kind| kind.to_string()).collect::<Vec<_>>()
    };
    let (takes, gives) = (list(&mut function.params()), list(&mut function.results()));
    let takes = format!("({})", takes.join(", "));
    if gives.is_empty() { takes } else { format!("{takes} -> {}", gives.join(", ")) }
}

/// Everything that is wrong with a module.
fn reasons(module: &wasmtime::Module, memory_bytes_max: usize) -> Vec<String> {
    let mut reasons = Vec::new();
    for wanted in module.imports() {
        let name = format!("{}.{}", wanted.module(), wanted.name());
        let offered = import::ALL
            .iter()
            .find(|(offered, _)| wanted.module() == HOST && *offered == wanted.name());
        match (offered, wanted.ty()) {
            (None, _) => reasons.push(if wanted.module().starts_with("wasi") {
                format!("it imports `{name}`, and there is no WASI here: build for wasm32-unknown-unknown")
            } else {
                format!("it imports `{name}`, which is not offered")
            }),
            (Some((_, offered)), ExternType::Func(kind)) => {
                let found = signature(&kind);
                if found != *offered {
                    reasons.push(format!("it imports `{name}` as `{found}`, and it is `{offered}`"));
                }
            }
            (Some(_), _) => reasons.push(format!("it imports `{name}`, which is a function")),
        }
    }
    match module.get_export(MEMORY) {
        Some(ExternType::Memory(memory)) => {
            let bytes = memory.minimum().saturating_mul(memory.page_size());
            if bytes > memory_bytes_max as u64 {
                reasons.push(format!(
                    "it needs {bytes} bytes of memory to begin with, and may have {memory_bytes_max}"
                ));
            }
            if memory.is_shared() {
                reasons.push("its memory is shared between threads".to_owned());
            }
        }
        Some(_) => reasons.push(format!("its export `{MEMORY}` is no memory")),
        None => reasons.push(format!("it exports no `{MEMORY}`")),
    }
    for wanted in [ABI, INPUT, TRANSFORM] {
        export(module, wanted, &mut reasons);
    }
    if module.get_export(INITIALIZE.0).is_some() {
        export(module, INITIALIZE, &mut reasons);
    }
    reasons
}

fn export(module: &wasmtime::Module, (name, wanted): Signature, reasons: &mut Vec<String>) {
    match module.get_export(name) {
        None => reasons.push(format!("it exports no `{name}`, which is `{wanted}`")),
        Some(ExternType::Func(kind)) => {
            let found = signature(&kind);
            if found != wanted {
                reasons.push(format!("it exports `{name}` as `{found}`, and it is `{wanted}`"));
            }
        }
        Some(_) => reasons.push(format!("its export `{name}` is no function")),
    }
}
