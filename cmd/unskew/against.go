package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
)

// planAt compiles the project as of a commit of its git repository.
func (o *options) planAt(ctx context.Context, ref string) (*plan.Plan, error) {
	files, err := o.git(ctx, "ls-tree", "-r", "--name-only", "-z", ref, "--", featuredefs.ConfigFile, featuredefs.LockFile, featuredefs.FeaturesDir)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "unskew-against-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for _, name := range strings.FieldsFunc(string(files), func(r rune) bool { return r == 0 }) {
		if !filepath.IsLocal(name) {
			continue
		}
		text, err := o.git(ctx, "show", ref+":./"+path.Clean(name))
		if err != nil {
			return nil, err
		}
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return nil, err
		}
	}
	p, found, err := featuredefs.Load(dir, featuredefs.Options{})
	if err != nil {
		return nil, fmt.Errorf("the project has no definitions in %s: %w", ref, err)
	}
	if found.HasErrors() {
		return nil, fmt.Errorf("the definitions in %s have errors; the first is: %s", ref, found[0])
	}
	return p.Plan, nil
}

func (o *options) git(ctx context.Context, args ...string) ([]byte, error) {
	c := exec.CommandContext(ctx, "git", append([]string{"-C", o.project}, args...)...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("git %s: %s", args[0], strings.TrimSpace(stderr.String()+" "+err.Error()))
	}
	return out, nil
}
