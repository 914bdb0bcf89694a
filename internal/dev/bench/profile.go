package bench

import (
	"errors"
	"os"
	"runtime/pprof"
)

// Profile writes a CPU profile of the process to a file until stop is called.
func Profile(file string) (stop func(), err error) {
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}
