package ui

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"context"
)

// Chromium shows the pages with and without scripts; web/browser.cjs says what it looks at. With UNSKEW_SHOTS, pictures are kept in that
// folder for people.
func TestInABrowser(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is missing; make need-chromium says how to have it")
	}
	if out, err := exec.Command("make", "--no-print-directory", "-C", root, ".cache/ui/installed").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p := fixture(t)
	shots := os.Getenv("UNSKEW_SHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	file := filepath.Join(t.TempDir(), "parity.html")
	if err := p.WriteFile(file); err != nil {
		t.Fatal(err)
	}
	pages := site(t, p, nil)
	server := httptest.NewServer(http.HandlerFunc(pages.ServeHTTP))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "node", "web/browser.cjs", "file://"+file, server.URL+Path, pages.pathOf(1), shots)
	c.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(root, ".cache/ui/node_modules"), "CHROMIUM="+chromium)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
