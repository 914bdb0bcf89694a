package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/sdk"
)

// A project of files alone: unskew.lock says what types their columns have.
var files = map[string]string{
	"unskew.yaml": "project: shop\n",
	"features/clicks.yaml": `kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: clicks
stream: true
event_time: at
event_id: id
columns: {user_id: {type: int}, at: {type: timestamp}, id: {type: string}}
---
kind: FeatureView
name: user_clicks
entity: user
source: clicks
features:
  n: count("1d")
---
kind: FeatureService
name: ranking
features: [user_clicks]
`,
}

func write(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// start runs the command until the test ends and returns the URL it serves on.
func start(t *testing.T, args ...string) string {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r, w := io.Pipe()
	c := newCommand()
	c.SetArgs(args)
	c.SetErr(w)
	done := make(chan error, 1)
	go func() {
		err := c.ExecuteContext(ctx)
		w.CloseWithError(io.EOF)
		done <- err
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	log := bufio.NewReader(r)
	for {
		line, err := log.ReadString('\n')
		if err != nil {
			t.Fatalf("the server ended: %v", err)
		}
		if _, address, ok := strings.Cut(line, " on http://"); ok {
			go io.Copy(io.Discard, log)
			return "http://" + strings.Fields(address)[0]
		}
	}
}

func TestServesAProject(t *testing.T) {
	url := start(t, "-C", write(t, files), "--listen", "127.0.0.1:0")
	client, err := sdk.New(url)
	if err != nil {
		t.Fatal(err)
	}
	services, err := client.ListServices(t.Context())
	if err != nil || len(services) != 1 || services[0].Name != "ranking" {
		t.Errorf("%+v, %v", services, err)
	}
	_, err = client.CreateTrainingSet(t.Context(), sdk.TrainingRequest{ID: "a", TrainingSet: "any"})
	if err == nil || !strings.Contains(err.Error(), "only serves features") {
		t.Errorf("a training set: %v", err)
	}
}

func TestRefusesDefinitionsWithErrors(t *testing.T) {
	broken := map[string]string{"unskew.yaml": files["unskew.yaml"], "features/clicks.yaml": strings.Replace(files["features/clicks.yaml"], "count(", "cuont(", 1)}
	c := newCommand()
	var log strings.Builder
	c.SetArgs([]string{"-C", write(t, broken)})
	c.SetErr(&log)
	if err := c.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "have errors") || !strings.Contains(log.String(), "clicks.yaml:") {
		t.Errorf("%v, %s", err, log.String())
	}
}

// The arguments in the image, and in the unit for systemd, are those of the command.
func TestDeployedArguments(t *testing.T) {
	for path, of := range map[string]func(line string) ([]string, bool){
		"../../deploy/docker/Dockerfile": func(line string) (args []string, ok bool) {
			list, ok := strings.CutPrefix(line, "CMD ")
			return args, ok && json.Unmarshal([]byte(list), &args) == nil
		},
		"../../deploy/systemd/unskew.service": func(line string) ([]string, bool) {
			command, ok := strings.CutPrefix(line, "ExecStart=")
			return strings.Fields(command)[min(1, len(strings.Fields(command))):], ok
		},
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for line := range strings.Lines(string(text)) {
			args, ok := of(strings.TrimSpace(line))
			if !ok {
				continue
			}
			found = true
			c := newCommand()
			if err := c.ParseFlags(args); err != nil || c.Flags().NArg() > 0 || len(args) == 0 {
				t.Errorf("%s: %v, %q", path, err, args)
			}
			if listen, _ := c.Flags().GetString("listen"); !strings.HasSuffix(listen, ":7171") {
				t.Errorf("%s listens on %s", path, listen)
			}
		}
		if !found {
			t.Errorf("%s has no command", path)
		}
	}
}

// --served-log records what is answered; when the server has ended, all of it is in files.
func TestServedLog(t *testing.T) {
	dir := write(t, files)
	t.Run("serve", func(t *testing.T) {
		c, err := sdk.New(start(t, "-C", dir, "--listen", "127.0.0.1:0", "--served-log", "100%"))
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); ; {
			_, err := c.GetFeatures(t.Context(), "ranking", []sdk.Column{sdk.Ints("user_id", 1, 2, 3)}, nil)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal(err) // the view has not come to life
			}
		}
	})
	segments, err := servedlog.List(filepath.Join(dir, ".unskew", "served"))
	if err != nil || len(segments) != 1 || segments[0].Service != "ranking" {
		t.Fatal(segments, err)
	}
	s, err := servedlog.Open(segments[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n := 0
	for _, err := range s.Rows() {
		if n++; err != nil {
			t.Error(err)
		}
	}
	if n != 3 {
		t.Errorf("%d rows", n)
	}
	c := newCommand()
	c.SetArgs([]string{"-C", dir, "--served-log", "2"})
	c.SetErr(io.Discard)
	if err := c.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), `--served-log: "2" is not a rate`) {
		t.Error(err)
	}
}
