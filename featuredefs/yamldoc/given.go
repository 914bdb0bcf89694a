package yamldoc

import "slices"

// Given is a scalar that does not come from a file of the project, such as the value of an environment variable. Errors about it name
// where it is from.
func (r *Reader) Given(from, text string) *Node {
	f := r.File(from, []byte(text))
	return &Node{Kind: Scalar, file: f, Pos: f.Pos(1, 1), Text: text, weight: 1}
}

// At is the value at a path of keys in a mapping, nil if there is none.
func (n *Node) At(path ...string) *Node {
	for _, key := range path {
		i := slices.IndexFunc(n.Entries, func(e Entry) bool { return e.Key.Text == key })
		if i < 0 {
			return nil
		}
		n = n.Entries[i].Value
	}
	return n
}

// Set sets the value at a path of keys in a mapping, in place of one that is there, and makes mappings on the way.
func (n *Node) Set(value *Node, path ...string) {
	for i := range n.Entries {
		e := &n.Entries[i]
		if e.Key.Text != path[0] {
			continue
		}
		if len(path) > 1 && e.Value.Kind == Mapping {
			e.Value.Set(value, path[1:]...)
		} else {
			e.Value = value.in(path[1:])
		}
		return
	}
	n.Entries = append(n.Entries, Entry{Key: value.key(path[0]), Value: value.in(path[1:])})
}

// in is the value at a path in a new mapping, or the value itself.
func (n *Node) in(path []string) *Node {
	if len(path) == 0 {
		return n
	}
	m := &Node{Kind: Mapping, file: n.file, Pos: n.Pos, weight: 1}
	m.Set(n, path...)
	return m
}

// key is a key at the place of the value.
func (n *Node) key(text string) *Node {
	return &Node{Kind: Scalar, file: n.file, Pos: n.Pos, Text: text, weight: 1}
}
