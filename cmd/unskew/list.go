package main

import (
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/catalog"
	"github.com/unskew/unskew/internal/nearest"
)

func newList(o *options) *cobra.Command {
	var f catalog.Filter
	c := &cobra.Command{
		Use:   "list [KIND]",
		Short: "List the definitions of the project",
		Long: `Lists sources, entities, views, features, services and training sets, with their types, owners
and descriptions. KIND chooses one kind; columns are listed only by it, or when a search finds
them. A feature without an owner has that of its view, and a view's tags are those of its features.`,
		Example: "  unskew list\n  unskew list features --tag fraud\n  unskew list --search amount",
		Args:    takes(0, 1),
		ValidArgsFunction: first(func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return kindNames(), cobra.ShellCompDirectiveNoFileComp
		}, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				var err error
				if f.Kind, err = kindOf(args[0]); err != nil {
					return err
				}
			}
			return o.list(c, f)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.Search, "search", "", "only those with `TEXT` in their name, description or a tag")
	flags.StringVar(&f.Tag, "tag", "", "only those with `TAG`")
	flags.StringVar(&f.Owner, "owner", "", "only those of `NAME`")
	completeFlag(c, "tag", o.completes(func(p *plan.Plan) []cobra.Completion {
		return distinct(p, func(i *catalog.Item) []string { return i.Tags })
	}))
	completeFlag(c, "owner", o.completes(func(p *plan.Plan) []cobra.Completion {
		return distinct(p, func(i *catalog.Item) []string { return []string{i.Owner} })
	}))
	return c
}

// plural is the name of a kind as an argument.
func plural(k catalog.Kind) string {
	if k == catalog.Entity {
		return "entities"
	}
	return strings.ReplaceAll(string(k), " ", "-") + "s"
}

func kindNames() (names []string) {
	for _, k := range catalog.Kinds {
		names = append(names, plural(k))
	}
	return names
}

// kindOf is the kind that an argument names, in singular or plural.
func kindOf(arg string) (catalog.Kind, error) {
	for _, k := range catalog.Kinds {
		if arg == plural(k) || arg == strings.ReplaceAll(string(k), " ", "-") || arg == string(k) {
			return k, nil
		}
	}
	return "", fmt.Errorf("there is no kind %q%s; write one of %s", arg, nearest.Hint(arg, kindNames()), strings.Join(kindNames(), ", "))
}

// distinct are the values that items have, each once.
func distinct(p *plan.Plan, of func(*catalog.Item) []string) (names []cobra.Completion) {
	seen := map[string]bool{"": true}
	for _, i := range catalog.New(p).Items {
		for _, s := range of(i) {
			if !seen[s] {
				seen[s] = true
				names = append(names, s)
			}
		}
	}
	return names
}

// listed is an item as printed.
type listedItem struct {
	*catalog.Item
	Defined string `json:"defined,omitempty"`
}

func newListed(i *catalog.Item) listedItem {
	l := listedItem{Item: i}
	if i.Defined.File != "" {
		l.Defined = fmt.Sprintf("%s:%d", i.Defined.File, i.Defined.Line)
	}
	return l
}

func (o *options) list(c *cobra.Command, f catalog.Filter) error {
	p, err := o.load(c, nil)
	if err != nil {
		return err
	}
	items := []listedItem{}
	for _, i := range catalog.New(p.Plan).Find(f) {
		items = append(items, newListed(i))
	}
	if o.json {
		return printJSON(c, items)
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KIND\tNAME\tTYPE\tOWNER\tTAGS\tDESCRIPTION")
	for _, i := range items {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", i.Kind, i.Name, cmp.Or(i.Type, "-"), cmp.Or(i.Owner, "-"), cmp.Or(strings.Join(i.Tags, ", "), "-"), firstLine(i.Description))
	}
	return w.Flush()
}

// firstLine is the first line of a text, shortened.
func firstLine(text string) string {
	line, _, more := strings.Cut(strings.TrimSpace(text), "\n")
	const most = 80
	if r := []rune(line); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	if more {
		line += " …"
	}
	return line
}
