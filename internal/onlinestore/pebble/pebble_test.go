package pebble

import (
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/onlinestore/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Storage {
		fs := vfs.NewCrashableMem()
		crashes := uint64(0)
		return storetest.Storage{
			Open: func(t *testing.T) onlinestore.Store {
				s, err := Open("store", Options{FS: fs})
				if err != nil {
					t.Fatal(err)
				}
				return s
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
