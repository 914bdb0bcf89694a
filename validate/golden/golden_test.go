package golden

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/eventlog"
	pebblelog "github.com/unskew/unskew/internal/eventlog/pebble"
	"github.com/unskew/unskew/internal/onlinestore"
	pebblestore "github.com/unskew/unskew/internal/onlinestore/pebble"
)

func embedded(_ context.Context, clock eventlog.Clock) (eventlog.Log, onlinestore.Store, error) {
	log, err := pebblelog.Open("log", pebblelog.Options{FS: vfs.NewMem(), Clock: clock})
	if err != nil {
		return nil, nil, err
	}
	store, err := pebblestore.Open("store", pebblestore.Options{FS: vfs.NewMem()})
	return log, store, err
}

func TestCases(t *testing.T) {
	dirs, err := filepath.Glob("../../../shared/cases/*/unskew.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		p, found, err := featuredefs.Load(filepath.Dir(d), featuredefs.Options{})
		if err != nil || found.HasErrors() {
			t.Fatal(d, err, found)
		}
		r, err := Run(t.Context(), p, []Path{Oracle(), Replay(), Online("embedded", embedded)})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d values, %d failures", filepath.Base(filepath.Dir(d)), r.Values, len(r.Failures))
		for i, f := range r.Failures {
			if i < 5 {
				t.Error(f)
			}
		}
	}
}
