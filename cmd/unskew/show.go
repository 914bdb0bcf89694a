package main

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/catalog"
)

func newShow(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show one definition: what it says, what it uses, what uses it",
		Long: `Shows a definition as it is written and as it is compiled: type, owner and tags, version,
aggregates with their windows and filters, what it uses, and what uses it. NAME is as for
unskew lineage: a view, a feature as VIEW.FEATURE, a column as SOURCE.COLUMN, or KIND:NAME if
several kinds have the name.`,
		Example:           "  unskew show spending.spend_7d\n  unskew show source:payments",
		Args:              takes(1, 1),
		ValidArgsFunction: first(o.completes(itemNames), cobra.ShellCompDirectiveNoFileComp),
		RunE:              func(c *cobra.Command, args []string) error { return o.show(c, args[0]) },
	}
}

// shown is a definition as printed.
type shown struct {
	listedItem
	Facts  []catalog.Fact `json:"facts"`
	Uses   []string       `json:"uses"`
	UsedBy []string       `json:"used_by"`
	Text   string         `json:"text,omitempty"` // as it is written
}

func (o *options) show(c *cobra.Command, name string) error {
	p, err := o.load(c, nil)
	if err != nil {
		return err
	}
	of, err := item(catalog.New(p.Plan), name)
	if err != nil {
		return err
	}
	s := shown{listedItem: newListed(of), Facts: of.Facts(), Uses: []string{}, UsedBy: []string{}}
	for _, u := range of.Uses {
		s.Uses = append(s.Uses, string(u.Kind)+" "+u.Name)
	}
	for _, u := range of.UsedBy {
		s.UsedBy = append(s.UsedBy, string(u.Kind)+" "+u.Name)
	}
	if of.Kind != catalog.Column {
		if s.Text, err = o.written(of.Defined); err != nil {
			return err
		}
	}
	if o.json {
		return printJSON(c, s)
	}
	return printShown(c, s)
}

func printShown(c *cobra.Command, s shown) error {
	out := c.OutOrStdout()
	fmt.Fprintf(out, "%s %s\n", s.Kind, s.Name)
	if s.Description != "" {
		fmt.Fprintln(out, strings.TrimSpace(s.Description))
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "  %s\t%s\n", name, strings.ReplaceAll(text, "\n", "\n  \t"))
		}
	}
	line("type", s.Type)
	line("owner", s.Owner)
	line("tags", strings.Join(s.Tags, ", "))
	line("version", s.Version)
	line("defined", s.Defined)
	for _, f := range s.Facts {
		line(f.Name, f.Text)
	}
	line("uses", strings.Join(s.Uses, "\n"))
	line("used by", strings.Join(s.UsedBy, "\n"))
	if err := w.Flush(); err != nil {
		return err
	}
	if s.Text != "" {
		fmt.Fprintf(out, "\n%s", s.Text)
	}
	return nil
}

// written is the text of a definition: its first line, and those after it that are indented more, or the whole document if it is one.
func (o *options) written(at plan.Pos) (string, error) {
	if at.File == "" || strings.HasPrefix(at.File, "/") {
		return "", nil
	}
	text, err := os.ReadFile(o.inProject(at.File))
	if err != nil {
		return "", err
	}
	lines := strings.Split(string(text), "\n")
	if at.Line < 1 || at.Line > len(lines) {
		return "", nil
	}
	indent := func(l string) int { return len(l) - len(strings.TrimLeft(l, " ")) }
	first := at.Line - 1
	own := indent(lines[first])
	last := first
	for i := first + 1; i < len(lines); i++ {
		l := lines[i]
		if l == "---" || own > 0 && strings.TrimSpace(l) != "" && indent(l) <= own {
			break
		}
		if strings.TrimSpace(l) != "" {
			last = i
		}
	}
	var b strings.Builder
	for _, l := range lines[first : last+1] {
		b.WriteString(strings.TrimRight(l[min(own, indent(l)):], " ") + "\n")
	}
	return b.String(), nil
}
