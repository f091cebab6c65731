//! The command line.

use std::path::PathBuf;

/// What `--help` prints.
pub const USAGE: &str = "\
Makes a vegetation map of a satellite scene.

usage: ndvi [INPUT.tif] [options]

  INPUT.tif            any GeoTIFF (default: the Landsat 7 scene that comes with blockwise)
  --red N              band of red light, from 1 (default 3)
  --nir N              band of the near infrared, from 1 (default 4)
  --out DIR            where ndvi.tif and ndvi.png go (default out)
  --scale N            compute a mosaic of N x N copies of the scene (default 1)
  --memory-limit SIZE  most memory for blocks, such as 512MiB (default 70 % of the machine's)
  --threads N          kernels at once (default: one a core)
  --trace FILE         write a trace for https://ui.perfetto.dev";

/// What was asked for.
pub struct Options {
    pub input: PathBuf,
    pub red: usize,
    pub nir: usize,
    pub out: PathBuf,
    pub scale: usize,
    pub memory_limit: Option<String>,
    pub threads: Option<usize>,
    pub trace: Option<PathBuf>,
}

impl Options {
    /// The options of a command line without the program's name; `None` if it asks for help.
    pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
        let mut options = Options {
            input: PathBuf::new(),
            red: 3,
            nir: 4,
            out: "out".into(),
            scale: 1,
            memory_limit: None,
            threads: None,
            trace: None,
        };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "-h" | "--help" => return Ok(None),
                "--red" => options.red = positive(&arg, &value()?)?,
                "--nir" => options.nir = positive(&arg, &value()?)?,
                "--out" => options.out = value()?.into(),
                "--scale" => options.scale = positive(&arg, &value()?)?,
                "--memory-limit" => options.memory_limit = Some(value()?),
                "--threads" => options.threads = Some(positive(&arg, &value()?)?),
                "--trace" => options.trace = Some(value()?.into()),
                other if other.starts_with('-') => return Err(format!("unknown option {other}; see --help")),
                input if options.input.as_os_str().is_empty() => options.input = input.into(),
                more => return Err(format!("one input at a time, not {more} too")),
            }
        }
        if options.input.as_os_str().is_empty() {
            options.input = bundled_scene();
        }
        Ok(Some(options))
    }
}

fn positive(option: &str, text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|&n| n > 0)
        .ok_or_else(|| format!("{option} takes a positive number, not {text:?}"))
}

/// The scene that comes with the library: in its source tree, or here if the tree has moved since this was compiled.
fn bundled_scene() -> PathBuf {
    const SCENE: &str = "examples/data/L7_ETMs.tif";
    let in_tree = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(SCENE);
    if in_tree.exists() { in_tree } else { SCENE.into() }
}
