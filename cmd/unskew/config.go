package main

import (
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/backend"
)

func newConfig(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "config",
		Short: "Show which settings are in force, and where they come from",
		Long: `Shows every setting of unskew.yaml: its value, whether that comes from the file, from an
environment variable or is the default, and which variable overrides it. Secrets are never
shown, only whether they are set.`,
		Args: takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error { return o.config(c) },
	}
}

// configured is a printed setting.
type configured struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	From  string `json:"from"`
	Env   string `json:"env,omitempty"`
}

func (o *options) config(c *cobra.Command) error {
	settings, found, err := featuredefs.LoadSettings(o.project)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		if err := found.Render(c.ErrOrStderr()); err != nil {
			return err
		}
	}
	if found.HasErrors() {
		return &findings{"the settings have errors"}
	}
	var all []configured
	for _, s := range settings {
		all = append(all, configured{s.Key, s.Value, s.From, s.Env})
	}
	for _, secret := range []struct{ key, env string }{{"password of Redis", backend.EnvRedisPassword}, {"password of sentinels", backend.EnvSentinelPassword}, {"token for --server", envToken}} {
		s := configured{Key: secret.key, Value: "not set", From: "default", Env: secret.env}
		if os.Getenv(secret.env) != "" {
			s.Value, s.From = "set", secret.env
		}
		all = append(all, s)
	}
	if o.json {
		return printJSON(c, all)
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "setting\tvalue\tfrom\toverridden by")
	for _, s := range all {
		env := s.Env
		if env == "" {
			env = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Key, s.Value, s.From, env)
	}
	return w.Flush()
}
