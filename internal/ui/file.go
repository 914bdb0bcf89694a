package ui

import (
	"errors"
	"os"
	"path/filepath"
)

// WriteFile writes the page to a file. Nobody sees a part of it: it is renamed when it is complete.
func (p *Parity) WriteFile(path string) (err error) {
	text, err := p.HTML()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
