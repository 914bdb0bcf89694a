// Package kept has the deliveries of some entities in memory: rows of the files of a source, and records of its log, as they are there. They are
// read once, and from then on the log is followed. What is wanted of some of the entities is given out as rows and as a log, so that whoever resolves
// deliveries of files and log resolves these in the same way, with the same result (docs/decisions/0131).
//
// An event is resolved from all deliveries with its id, also from those that name another entity. These are kept too.
package kept
