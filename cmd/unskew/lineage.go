package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/catalog"
	"github.com/unskew/unskew/internal/nearest"
)

func newLineage(o *options) *cobra.Command {
	var format string
	var columns, up, down bool
	c := &cobra.Command{
		Use:   "lineage [NAME]",
		Short: "Show what definitions are made of, and what is made of them",
		Long: `Shows what NAME is made of and what is made of it: sources and their columns, entities, views,
features, services, training sets. Without NAME, the whole project. If several kinds have the
name, write KIND:NAME, such as source:payments. A column is SOURCE.COLUMN, a feature
VIEW.FEATURE, or SERVICE.FEATURE if it is derived.

With --columns, features are connected to the columns that they read, in an argument, a filter or
a let, which answers what a change of a column touches. What a sql: reads is not looked into.`,
		Example:           "  unskew lineage spending.spend_7d --up\n  unskew lineage payments.amount --down\n  unskew lineage --format mermaid > docs/lineage.mmd",
		Args:              takes(0, 1),
		ValidArgsFunction: first(o.completes(itemNames), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(c *cobra.Command, args []string) error {
			if o.json {
				if c.Flags().Changed("format") && format != "json" {
					return fmt.Errorf("--json and --format %s contradict each other; leave one out", format)
				}
				format = "json"
			}
			if !slices.Contains(lineageFormats, format) {
				return fmt.Errorf("--format %s: write one of %s", format, strings.Join(lineageFormats, ", "))
			}
			if len(args) == 0 && (up || down) {
				return errors.New("--up and --down need the NAME of a definition")
			}
			return o.lineage(c, strings.Join(args, ""), format, columns, up, down)
		},
	}
	flags := c.Flags()
	flags.StringVar(&format, "format", "text", "write `FORMAT`: text, mermaid, dot or json")
	flags.BoolVar(&columns, "columns", false, "show columns of sources too")
	flags.BoolVar(&up, "up", false, "only what NAME is made of")
	flags.BoolVar(&down, "down", false, "only what is made of NAME")
	c.MarkFlagsMutuallyExclusive("up", "down")
	completeFlag(c, "format", cobra.FixedCompletions(lineageFormats, cobra.ShellCompDirectiveNoFileComp))
	return c
}

var lineageFormats = []cobra.Completion{"text", "mermaid", "dot", "json"}

func itemNames(p *plan.Plan) (names []cobra.Completion) {
	for _, i := range catalog.New(p).Items {
		names = append(names, cobra.CompletionWithDesc(i.Name, string(i.Kind)))
	}
	return names
}

// item is the definition with a name.
func item(of *catalog.Catalog, name string) (*catalog.Item, error) {
	found := of.Named(name)
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		var names []string
		for _, i := range of.Items {
			names = append(names, i.Name)
		}
		return nil, fmt.Errorf("there is no definition %q%s; unskew list shows all", name, nearest.Hint(name, names))
	}
	var names []string
	for _, i := range found {
		names = append(names, strings.ReplaceAll(string(i.Kind), " ", "-")+":"+i.Name)
	}
	return nil, fmt.Errorf("%q is the name of several definitions; write one of %s", name, strings.Join(names, ", "))
}

func (o *options) lineage(c *cobra.Command, name, format string, columns, up, down bool) error {
	p, err := o.load(c, nil)
	if err != nil {
		return err
	}
	all := catalog.New(p.Plan)
	chosen, of := all.Items, (*catalog.Item)(nil)
	if name != "" {
		if of, err = item(all, name); err != nil {
			return err
		}
		columns = columns || of.Kind == catalog.Column
		chosen = nil
		if !down {
			chosen = of.Upstream()
		}
		if !up {
			chosen = append(chosen, of.Downstream()...)
		}
	}
	out := c.OutOrStdout()
	g := all.Graph(chosen, columns)
	switch format {
	case "mermaid":
		return g.Mermaid(out)
	case "dot":
		return g.DOT(out)
	case "json":
		return printJSON(c, newLineageJSON(g))
	}
	if of == nil {
		for _, i := range all.Items {
			if i.Kind == catalog.TrainingSet || i.Kind == catalog.Service && len(i.UsedBy) == 0 {
				if err := catalog.Tree(out, i, true, columns); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if !down {
		fmt.Fprintln(out, "made of:")
		if err := catalog.Tree(out, of, true, columns); err != nil {
			return err
		}
	}
	if !up {
		fmt.Fprintln(out, "used by:")
		return catalog.Tree(out, of, false, columns)
	}
	return nil
}

// lineageJSON is a graph as printed; nodes are named as arguments are.
type lineageJSON struct {
	Nodes []listedItem `json:"nodes"`
	Edges []struct {
		From string `json:"from"`
		To   string `json:"to"`
	} `json:"edges"`
}

func newLineageJSON(g *catalog.Graph) (out lineageJSON) {
	id := func(i *catalog.Item) string { return strings.ReplaceAll(string(i.Kind), " ", "-") + ":" + i.Name }
	out.Nodes = []listedItem{}
	for _, i := range g.Nodes {
		out.Nodes = append(out.Nodes, newListed(i))
	}
	for _, e := range g.Edges {
		out.Edges = append(out.Edges, struct {
			From string `json:"from"`
			To   string `json:"to"`
		}{id(e.From), id(e.To)})
	}
	return out
}
