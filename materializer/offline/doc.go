// Package offline turns history into values: it joins a service's features onto a
// spine, point in time, and writes the training set with its manifest
// (docs/formats/trainingset.md). It reads rows through DuckDB and the event log
// and leaves every value to package kernel.
package offline
