package featuredefs

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The page for operators has every variable, with its default.
func TestSettingsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings {
		row := fmt.Sprintf("| `%s` | `%s`", s.key, s.env)
		_, rest, ok := strings.Cut(string(page), row)
		line, _, _ := strings.Cut(rest, "\n")
		if !ok || !strings.Contains(strings.ReplaceAll(line, "`", ""), "| "+s.unset) {
			t.Errorf("docs/operations.md has no row %s … %s |", row, s.unset)
		}
	}
}

// A variable takes the place of a value, of a mapping, of nothing, and of online: embedded.
func TestVariablesOverride(t *testing.T) {
	for text, want := range map[string]string{
		"project: p":                   "a:1 b:2",
		"project: p\nonline: embedded": "a:1 b:2",
		"project: p\nonline: {redis: {addresses: [c:3]}}": "a:1 b:2",
		"project: p\nonline: {redis: {db: 3}}":            "a:1 b:2",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/"+ConfigFile, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv(EnvRedisAddresses, "a:1, b:2")
		t.Setenv("UNSKEW_REDIS_TLS", "true")
		p, found, err := Load(dir, Options{})
		if err != nil || len(found) > 0 {
			t.Fatalf("%q: %v %v", text, found, err)
		}
		r := p.Online.Redis
		if r == nil || strings.Join(r.Addresses, " ") != want || !r.TLS || strings.Contains(text, "db: 3") != (r.DB == 3) {
			t.Errorf("%q: Redis is %+v", text, r)
		}
		t.Setenv(EnvRedisAddresses, "")
		if p, _, err = Load(dir, Options{}); err != nil || strings.Contains(text, "redis") != (p.Online.Redis != nil) {
			t.Errorf("%q: without variables Redis is %+v: %v", text, p.Online.Redis, err)
		}
	}
}
