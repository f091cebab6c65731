//! Settings: byte sizes in words, environment variables, defaults.

use crate::error::{Error, Result};

/// A number of bytes from words: `"512MiB"`, `"4 GB"`, `"1e9"`, `"65536"`. `KB MB GB TB` are powers of 1000, `KiB MiB GiB
/// TiB` of 1024.
///
/// ```
/// assert_eq!(blockwise::config::parse_bytes("512MiB").unwrap(), 512 << 20);
/// assert_eq!(blockwise::config::parse_bytes("1.5 kB").unwrap(), 1500);
/// assert!(blockwise::config::parse_bytes("many").is_err());
/// ```
///
/// # Errors
/// If the text is not a number with one of these units.
pub fn parse_bytes(text: &str) -> Result<u64> {
    let text = text.trim();
    // an exponent is part of the number, so the unit starts at the first letter that is not one
    let lower = text.to_ascii_lowercase();
    let unit_at = ["kib", "mib", "gib", "tib", "kb", "mb", "gb", "tb", "k", "m", "g", "t", "b"]
        .iter()
        .find(|u| lower.ends_with(*u))
        .map_or(lower.len(), |u| lower.len() - u.len());
    let (number, unit) = lower.split_at(unit_at);
    let scale = match unit {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024f64.powi(2),
        "gib" => 1024f64.powi(3),
        _ => 1024f64.powi(4),
    };
    match number.trim().parse::<f64>() {
        Ok(n) if n >= 0.0 && n.is_finite() => Ok((n * scale) as u64),
        _ => Err(Error::invalid("bytes", format!("{text:?} is not a size such as \"512MiB\" or \"2 GB\""))),
    }
}

/// A number of bytes in words, with a binary unit.
///
/// ```
/// use blockwise::config::format_bytes;
/// assert_eq!(format_bytes(1000), "1000 B");
/// assert_eq!(format_bytes(3 << 29), "1.5 GiB");
/// ```
pub fn format_bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = 0;
    let mut x = n as f64;
    while x >= 1024.0 && unit + 1 < UNITS.len() {
        x /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{x:.1} {}", UNITS[unit]) }
}

/// Something that can be given as a number of bytes: an integer or words.
pub trait IntoBytes {
    /// The number of bytes.
    ///
    /// # Errors
    /// If the words are no size.
    fn into_bytes(self) -> Result<u64>;
}

impl IntoBytes for u64 {
    fn into_bytes(self) -> Result<u64> {
        Ok(self)
    }
}

impl IntoBytes for &str {
    fn into_bytes(self) -> Result<u64> {
        parse_bytes(self)
    }
}

impl IntoBytes for String {
    fn into_bytes(self) -> Result<u64> {
        parse_bytes(&self)
    }
}

/// Where a memory limit comes from if none is given: `BLOCKWISE_MEMORY_LIMIT`, else 70 % of the machine's (or
/// control group's) memory, else 4 GiB.
///
/// # Errors
/// If the variable is set to something that is no size.
pub fn default_memory_limit() -> Result<u64> {
    if let Ok(text) = std::env::var("BLOCKWISE_MEMORY_LIMIT") {
        return parse_bytes(&text);
    }
    Ok(machine_memory().map_or(4 << 30, |n| n / 10 * 7))
}

/// Where the memory limit of a GPU comes from if none is given: `BLOCKWISE_DEVICE_MEMORY_LIMIT`, else three quarters of its own memory, if it is known
/// to have any, else 1 GiB.
///
/// # Errors
/// If the variable is set to something that is no size.
#[cfg(feature = "gpu")]
pub fn default_device_memory_limit(own: Option<u64>) -> Result<u64> {
    let default = own.map_or(1 << 30, |bytes| bytes / 4 * 3);
    std::env::var("BLOCKWISE_DEVICE_MEMORY_LIMIT").map_or(Ok(default), |text| parse_bytes(&text))
}

/// Where is kept what need not be found out twice (compiled kernels, what this machine's devices can do): `BLOCKWISE_CACHE_DIR`, else `blockwise`
/// in the user's cache directory, if there is one.
pub fn cache_dir() -> Option<std::path::PathBuf> {
    let of = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(std::path::PathBuf::from);
    of("BLOCKWISE_CACHE_DIR").or_else(|| {
        let home = || of("HOME").map(|home| home.join(".cache"));
        let base = of("XDG_CACHE_HOME").or_else(|| of("LOCALAPPDATA")).or_else(home);
        base.map(|base| base.join("blockwise"))
    })
}

/// Bytes of memory this process may use, if the system says.
fn machine_memory() -> Option<u64> {
    let cgroup = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let cgroup = cgroup.and_then(|s| s.trim().parse::<u64>().ok());
    let total = std::fs::read_to_string("/proc/meminfo").ok().and_then(|s| {
        let line = s.lines().find(|l| l.starts_with("MemTotal:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
    });
    cgroup.into_iter().chain(total).min()
}

/// How many threads compute if none are given: `BLOCKWISE_THREADS`, else the cores this process may use.
///
/// # Errors
/// If the variable is set to something that is no positive number.
pub fn default_threads() -> Result<usize> {
    match std::env::var("BLOCKWISE_THREADS") {
        Ok(text) => match text.trim().parse::<usize>() {
            Ok(n) if n > 0 => Ok(n),
            _ => Err(Error::invalid("BLOCKWISE_THREADS", format!("{text:?} is not a positive number"))),
        },
        Err(_) => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
    }
}
