//! Elementary functions over one float, written without branches so that loops over them vectorize.
