package pebble

import (
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/eventlog/logtest"
)

func TestConformance(t *testing.T) {
	logtest.Run(t, func(*testing.T) logtest.Storage {
		fs := vfs.NewCrashableMem()
		crashes := uint64(0)
		return logtest.Storage{
			Open: func(t *testing.T, clock eventlog.Clock) eventlog.Log {
				l, err := Open("log", Options{FS: fs, Clock: clock})
				if err != nil {
					t.Fatal(err)
				}
				return l
			},
			// Crashes keep none, half, or all of the unsynced data, in turn.
			Crash: func(*testing.T) {
				fs = fs.CrashClone(vfs.CrashCloneCfg{
					UnsyncedDataPercent: int(crashes % 3 * 50),
					RNG:                 rand.New(rand.NewPCG(crashes, 0)),
				})
				crashes++
			},
		}
	})
}
