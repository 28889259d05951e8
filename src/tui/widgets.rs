//! Building blocks of the views. They know the styles, never the model.

pub(crate) mod big;
pub(crate) mod field;
pub(crate) mod frame;
pub(crate) mod line;
pub(crate) mod qr;
pub(crate) mod table;
