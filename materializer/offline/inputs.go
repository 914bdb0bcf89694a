package offline

import (
	"context"

	"github.com/unskew/unskew/internal/relation"
)

// inputFiles hashes the input files while the training set is built. It begins with the spine,
// whose reading keeps one core busy and leaves the others to it.
type inputFiles struct {
	spine   []relation.File
	sources map[*source][]relation.File
	err     error
	done    chan struct{} // closed when all of the above is there
}

// hashInputs begins to hash the files of the spine and of all sources.
func (t *trainer) hashInputs(ctx context.Context) *inputFiles {
	f := &inputFiles{sources: map[*source][]relation.File{}, done: make(chan struct{})}
	go func() {
		defer close(f.done)
		f.err = f.hash(ctx, t)
	}()
	return f
}

func (f *inputFiles) hash(ctx context.Context, t *trainer) (err error) {
	if f.spine, err = t.Reader.Files(ctx, t.spine.rel); err != nil {
		return err
	}
	for _, s := range t.sources {
		if !s.history.hasFiles() {
			continue
		}
		if f.sources[s], err = t.Reader.Files(ctx, relation.SourceRelation(s.plan)); err != nil {
			return err
		}
	}
	return nil
}

// wait waits for the hashes.
func (f *inputFiles) wait() error {
	<-f.done
	return f.err
}
