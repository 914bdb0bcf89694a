package pebbledir

import (
	"fmt"
	"log/slog"
	"os"
)

// logger passes on Pebble's errors and drops its chatter.
type logger struct{ to *slog.Logger }

// Infof drops what happens all the time: flushes, compactions, new files.
func (logger) Infof(string, ...any) {}

// Errorf reports an error that Pebble handled itself.
func (l logger) Errorf(format string, args ...any) {
	if l.to != nil {
		l.to.Error(fmt.Sprintf(format, args...), "from", "pebble")
	}
}

// Fatalf ends the process, as Pebble's contract asks: it must not return.
func (l logger) Fatalf(format string, args ...any) {
	if l.to == nil {
		l.to = slog.Default()
	}
	l.to.Error("the storage failed and the process ends so that nothing wrong is served: "+fmt.Sprintf(format, args...), "from", "pebble")
	os.Exit(1)
}
