// Package yamldoc reads YAML such that everything in it has a place: documents become
// Nodes that know line and column, down to the characters of a scalar, and mappings are
// read as Objects whose mistakes are reported where they stand.
package yamldoc
