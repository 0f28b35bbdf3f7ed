//! Reports: what a program did, as one HTML file to look at.
//!
//! A page needs nothing but itself: style, pictures and the few lines of script are inside, and nothing is asked of a network.
//! It is read in a browser on a desk or a phone, light or dark, printed, or heard; what is shown needs no script, which adds
//! only the values under the pointer.
//!
//! - [`page`] is the paper: head, style, sections, tables, pictures;
//! - [`chart`] draws lines over steps, [`heat_map`] numbers as colours, [`contour`] lines of equal value;
//! - [`edges`] is the page of `edge_kernel`, [`lenet`] the report of a training.
//!
//! What this is not: a template language. A report is a function that writes its sections in order. Next to read: `page.rs`.

pub mod page;

pub mod chart;

pub mod heat_map;

pub mod contour;

pub mod edges;

mod ticks;

pub mod lenet;
