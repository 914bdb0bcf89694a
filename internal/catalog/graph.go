package catalog

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Graph is definitions and which of them use which.
type Graph struct {
	Nodes []*Item `json:"nodes"`
	Edges []Edge  `json:"edges"`
}

// Edge says that To is made of From.
type Edge struct{ From, To *Item }

// Graph is the definitions that are given and the edges between them, in the order of the catalogue. Without columns, what uses a column uses
// its source instead.
func (c *Catalog) Graph(of []*Item, columns bool) *Graph {
	in := map[*Item]bool{}
	for _, i := range of {
		in[i] = columns || i.Kind != Column
	}
	g := &Graph{Nodes: []*Item{}, Edges: []Edge{}}
	for _, i := range c.Items {
		if !in[i] {
			continue
		}
		g.Nodes = append(g.Nodes, i)
		var from []*Item
		for _, u := range i.Uses {
			if u.Kind == Column && !columns {
				u = u.Uses[0]
			}
			if in[u] && !slices.Contains(from, u) {
				from = append(from, u)
			}
		}
		// A feature uses its source through its view, which is shown.
		if i.Kind == Feature && !columns {
			from = slices.DeleteFunc(from, func(u *Item) bool { return u.Kind == Source })
		}
		for _, u := range from {
			g.Edges = append(g.Edges, Edge{u, i})
		}
	}
	return g
}

// id is a name of a node that Mermaid and DOT take.
func (g *Graph) id(i *Item) string { return fmt.Sprintf("n%d", slices.Index(g.Nodes, i)) }

// shapes are the brackets of nodes in Mermaid.
var shapes = map[Kind][2]string{
	Source: {"[(", ")]"}, Column: {"[", "]"}, Entity: {"{{", "}}"}, View: {"[[", "]]"}, Feature: {"(", ")"}, Service: {"([", "])"}, TrainingSet: {"[/", "/]"},
}

// Mermaid writes the graph as a flowchart of Mermaid, which GitHub and GitLab draw in Markdown.
func (g *Graph) Mermaid(w io.Writer) error {
	b := &strings.Builder{}
	b.WriteString("flowchart LR\n")
	for _, i := range g.Nodes {
		fmt.Fprintf(b, "    %s%s\"%s\"%s\n", g.id(i), shapes[i.Kind][0], strings.ReplaceAll(i.Name, `"`, "#quot;"), shapes[i.Kind][1])
	}
	for _, e := range g.Edges {
		fmt.Fprintf(b, "    %s --> %s\n", g.id(e.From), g.id(e.To))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// DOT writes the graph in the language of Graphviz.
func (g *Graph) DOT(w io.Writer) error {
	b := &strings.Builder{}
	b.WriteString("digraph lineage {\n    rankdir=LR;\n    node [shape=box];\n")
	for _, i := range g.Nodes {
		fmt.Fprintf(b, "    %s [label=%s];\n", g.id(i), quoted(string(i.Kind)+`\n`+i.Name))
	}
	for _, e := range g.Edges {
		fmt.Fprintf(b, "    %s -> %s;\n", g.id(e.From), g.id(e.To))
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func quoted(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }

// Tree writes what item is made of, or what is made of it, as an indented tree. A definition that occurs again is not opened again.
func Tree(w io.Writer, item *Item, up, columns bool) error {
	b := &strings.Builder{}
	seen := map[*Item]bool{}
	var write func(i *Item, depth int)
	write = func(i *Item, depth int) {
		next := i.UsedBy
		if up {
			next = i.Uses
		}
		if !columns {
			next = slices.DeleteFunc(slices.Clone(next), func(x *Item) bool { return x.Kind == Column })
		}
		again := ""
		if seen[i] && len(next) > 0 {
			again, next = " …", nil
		}
		seen[i] = true
		fmt.Fprintf(b, "%s%s %s%s\n", strings.Repeat("  ", depth), i.Kind, i.Name, again)
		for _, x := range next {
			write(x, depth+1)
		}
	}
	write(item, 0)
	_, err := io.WriteString(w, b.String())
	return err
}
