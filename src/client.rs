//! [`Client`]: a session whose computations run on a cluster.

use crate::Session;
use crate::cluster::{LocalCluster, Options};
use crate::error::Result;
use std::ops::Deref;

/// A session whose computations run on a cluster: everything that takes a [`Session`] takes it.
///
/// ```no_run
/// use blockwise::{Client, prelude::*};
/// let client = Client::connect("http://scheduler:50050")?;
/// let scene = open("/data/scene.zarr")?;            // a path that all workers see
/// println!("{}", client.compute(&scene.mean(..))?.to_scalar::<f64>()?);
/// client.store(&[(&scene.sqrt(), scene.zarr_sink("/data/roots.zarr", Default::default())?)])?;
/// # Ok::<(), blockwise::Error>(())
/// ```
///
/// Results are those of a local session with the same memory limit, to the last bit. Sources are opened by the workers, by path; arrays in memory (up
/// to 16 MiB) travel. Zarr and `.npy` are written by the workers in their place, other sinks by this process. Dataframes do not run on
/// clusters yet.
pub struct Client {
    session: Session,
}

impl Client {
    /// Connects to a scheduler with the default [`Options`].
    ///
    /// # Errors
    /// [`ErrorKind::Cluster`](crate::error::ErrorKind::Cluster) if it does not answer in time, or is of another version.
    pub fn connect(url: &str) -> Result<Client> {
        Client::with(url, Options::from_env()?)
    }

    /// Connects to a scheduler.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn with(url: &str, options: Options) -> Result<Client> {
        Ok(Client { session: Session::builder().cluster(url, options).build()? })
    }

    /// The session.
    pub fn into_session(self) -> Session {
        self.session
    }
}

impl Deref for Client {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl LocalCluster {
    /// A client of this cluster.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn client(&self) -> Result<Client> {
        Client::with(&self.url(), self.options()?)
    }
}
