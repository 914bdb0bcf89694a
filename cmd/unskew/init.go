package main

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/version"
)

// starter is the project that init writes.
//
//go:embed starter
var starter embed.FS

// starterNames maps embedded files to their names in a project; embedding a folder leaves out
// names that begin with a dot.
var starterNames = map[string]string{"gitignore": ".gitignore", workflow: ".github/workflows/features.yml"}

// workflow is the file that contains the commit of Unskew to build.
const workflow = "ci.yml"

// pinned returns this program's commit, as written to the workflow.
func pinned() string {
	return cmp.Or(version.Commit(), "main # this build does not know its commit; pin a commit here")
}

func newInit(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a small working project",
		Long: `Writes a working project into a folder (default: the current one): definitions
with comments, their tests, some data, and a workflow for CI. Existing files are never
overwritten.`,
		Args:              takes(0, 1),
		ValidArgsFunction: first(directories, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(c *cobra.Command, args []string) error {
			dir := o.project
			if len(args) == 1 {
				dir = args[0]
			}
			return o.init(c, dir)
		},
	}
}

func (o *options) init(c *cobra.Command, dir string) error {
	if _, err := os.Stat(filepath.Join(dir, featuredefs.ConfigFile)); err == nil {
		return fmt.Errorf("%s is a project already; nothing was written", dir)
	}
	files, err := starterFiles()
	if err != nil {
		return err
	}
	for _, f := range files {
		if _, err := os.Lstat(filepath.Join(dir, f.name)); err == nil {
			return fmt.Errorf("%s exists already; nothing was written", filepath.Join(dir, f.name))
		}
	}
	wrote := []string{}
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.text, 0o644); err != nil {
			return err
		}
		wrote = append(wrote, path)
	}
	if o.json {
		return printJSON(c, struct {
			Project string   `json:"project"`
			Wrote   []string `json:"wrote"`
		}{dir, wrote})
	}
	printStarted(c, dir, wrote)
	return nil
}

// printStarted lists the written files and suggests what to run next.
func printStarted(c *cobra.Command, dir string, wrote []string) {
	for _, path := range wrote {
		fmt.Fprintln(c.OutOrStdout(), "wrote", path)
	}
	at := ""
	if dir != "." {
		at = " -C " + dir
	}
	fmt.Fprintf(c.OutOrStdout(), `
Now:
  unskew%[1]s validate               check the definitions
  unskew%[1]s test                   run their tests
  unskew%[1]s train returns          build the training set
  unskew%[1]s parity --replay        prove that serving agrees with it
  unskew%[1]s materialize            build the online state
  unskew%[1]s get return_risk --key customer_id=3 --request amount=20
`, at)
}

type starterFile struct {
	name string
	text []byte
}

func starterFiles() ([]starterFile, error) {
	root, err := fs.Sub(starter, "starter")
	if err != nil {
		return nil, err
	}
	var files []starterFile
	err = fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(root, path)
		if path == workflow {
			text = bytes.Replace(text, []byte("THE_COMMIT"), []byte(pinned()), 1)
		}
		name, renamed := starterNames[path]
		if !renamed {
			name = filepath.FromSlash(path)
		}
		files = append(files, starterFile{name, text})
		return err
	})
	return files, err
}
