package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
)

// openAPIPath is the path of the OpenAPI document for the row-shaped endpoints.
const openAPIPath = "/openapi.json"

// object is a JSON object; encoding/json sorts its member names.
type object map[string]any

// serveOpenAPI serves the OpenAPI document of the live plan.
func (s *Server) serveOpenAPI(w http.ResponseWriter, r *http.Request) {
	d, err := s.current()
	if err != nil {
		problemOf(s.coded(openAPIPath, err)).write(w)
		return
	}
	writeJSON(w, r, http.StatusOK, "application/json", d.openAPI)
}

// openAPI returns the OpenAPI document of a plan, as JSON.
func openAPI(d *deployment, p *plan.Plan) ([]byte, error) {
	paths := object{}
	for _, name := range d.names {
		paths[servicesPath+name+readVerb] = object{"post": readOperation(d.services[name])}
	}
	for _, src := range p.Sources {
		if src.Stream {
			paths[sourcesPath+src.Name+pushVerb] = object{"post": pushOperation(src)}
		}
	}
	return json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{"title": "Features of " + p.Project, "version": "1",
			"description": "Reads of features and pushes of events, row by row. Errors are problem details (RFC 9457)."},
		"paths":      paths,
		"components": object{"schemas": object{"Problem": problemSchema}},
	}, "", "  ")
}

func readOperation(s *service) object {
	features, values := make([]string, len(s.outputs)), object{}
	for i, o := range s.outputs {
		features[i] = o.Name
		schema := schemaOf(o.Type)
		if text := description(s.plan, i); text != "" {
			schema["description"] = text
		}
		values[o.Name] = orNull(schema)
	}
	request := requestOf(rowSchema(s.rowFields, nil, fieldNames(s.rowFields)))
	request["properties"].(object)["features"] = object{"type": "array", "items": object{"enum": features}, "description": "The features to answer, in this order; all of them if left out."}
	request["properties"].(object)["fingerprint"] = object{"type": "string",
		"description": "The version that the caller's model was trained on, or at least its first twelve digits; it is an error if another version is live."}
	request["properties"].(object)["max_staleness"] = object{"type": "string", "description": "The staleness that the caller accepts, such as 30s: the age of the oldest event that may be missing."}
	request["properties"].(object)["on_stale"] = object{"enum": []string{"error", "status"}, "description": "Whether values staler than max_staleness are an error, which is the default, or have the status STALE."}
	request["properties"].(object)["with_freshness"] = object{"type": "boolean", "description": "Also answer how far each view is behind its source."}
	return operation("read_"+s.plan.Name, "Read the features of "+s.plan.Name, s.plan.Description, request, object{
		"type": "object", "required": []string{"service", "fingerprint", "as_of", "rows", "statuses"},
		"properties": object{
			"service":     object{"type": "string"},
			"fingerprint": object{"type": "string", "description": "The version that answered."},
			"as_of":       object{"type": "string", "format": "date-time", "description": "Every row was computed as of this moment."},
			"staleness":   object{"type": "string", "description": "The age of the oldest event that may be missing, such as 1.5s; left out if unknown."},
			"freshness": object{"type": "object", "description": "By view, if the request has with_freshness.", "additionalProperties": object{"type": "object", "properties": object{
				"generation": object{"type": "integer"}, "position": object{"type": "integer"}, "lag": object{"type": "integer"},
				"complete": object{"type": "string", "format": "date-time", "description": "Events that were stored before are applied."}}}},
			"rows": object{"type": "array", "items": object{"type": "object", "properties": values}, "description": "One for each row of the request."},
			"statuses": object{"type": "array", "description": "One for each row: why values are null or defaults. Features that are not listed are PRESENT.",
				"items": object{"type": "object", "additionalProperties": object{"enum": rowStatuses()}}},
		},
	})
}

// rowStatuses are the statuses in row-shaped answers. PRESENT is left out there.
func rowStatuses() []string {
	list := []string{"EMPTY", "UNKNOWN_ENTITY", "DEFAULTED:EMPTY", "DEFAULTED:UNKNOWN_ENTITY", "ERROR", "LOST"}
	for _, s := range append([]string{"PRESENT"}, list...) {
		list = append(list, "STALE:"+s)
	}
	return list
}

func pushOperation(src *plan.Source) object {
	required := []string{src.EventTime}
	if src.EventID != "" {
		required = append(required, src.EventID)
	}
	return operation("push_"+src.Name, "Push events to "+src.Name, src.Description, requestOf(rowSchema(sourceFields(src), src.Paths, required)), object{
		"type": "object", "required": []string{"rows"},
		"properties": object{"rows": object{"type": "array", "description": "One for each row of the request. A rejected row does not affect the others.",
			"items": object{"type": "object", "required": []string{"outcome"}, "properties": object{
				"outcome":  object{"enum": []string{"APPENDED", "FILLED", "DUPLICATE", "CONFLICT", "REJECTED"}},
				"position": object{"type": "integer", "description": "The position of the event in its shard of the log."},
				"shard":    object{"type": "integer", "description": "The shard of the log, if it is not 0, the first."},
				"message":  object{"type": "string", "description": "Why the row was rejected or conflicts."},
			}}}},
	})
}

func operation(id, summary, text string, request, answer object) object {
	content := func(kind string, schema object) object { return object{kind: object{"schema": schema}} }
	op := object{
		"operationId": id, "summary": summary,
		"requestBody": object{"required": true, "content": content("application/json", request)},
		"responses": object{
			"200":     object{"description": "Answered.", "content": content("application/json", answer)},
			"default": object{"description": "An error.", "content": content("application/problem+json", object{"$ref": "#/components/schemas/Problem"})},
		},
	}
	if text != "" {
		op["description"] = text
	}
	return op
}

// requestOf is the schema of a request with these rows.
func requestOf(row object) object {
	return object{"type": "object", "required": []string{"rows"}, "additionalProperties": false,
		"properties": object{"rows": object{"type": "array", "minItems": 1, "items": row,
			"description": fmt.Sprintf("At most %d, or fewer by the server's configuration or for rows of very many fields.", DefaultMaxRows)}}}
}

// rowSchema is the schema of a row with the given fields, some at paths; required lists those that must
// be present.
func rowSchema(fields []plan.Field, paths map[string][]string, required []string) object {
	row := emptyObject()
	for _, f := range fields {
		path, in := paths[f.Name], row
		if path == nil {
			path = []string{f.Name}
		}
		needed := slices.Contains(required, f.Name)
		for _, name := range path[:len(path)-1] {
			if in = in.member(name, needed, func() object { return orNull(emptyObject()) }); needed {
				in["type"] = "object"
			}
		}
		in.member(path[len(path)-1], needed, func() object { return orNull(schemaOf(f.Type)) })
	}
	return row
}

func emptyObject() object {
	return object{"type": "object", "required": []string{}, "additionalProperties": false, "properties": object{}}
}

// member returns the schema of a member of an object, making it if there is none yet.
func (o object) member(name string, required bool, schema func() object) object {
	properties := o["properties"].(object)
	if _, ok := properties[name]; !ok {
		properties[name] = schema()
	}
	if names := o["required"].([]string); required && !slices.Contains(names, name) {
		o["required"] = append(names, name)
	}
	return properties[name].(object)
}

func orNull(schema object) object {
	if t, ok := schema["type"].(string); ok {
		schema["type"] = []string{t, "null"}
	} else if t, ok := schema["type"].([]string); ok {
		schema["type"] = append(t, "null")
	}
	return schema
}

// schemaOf is the schema of a value as wire.AppendPlainJSON writes it.
func schemaOf(t plan.Type) object {
	t = t.Unwrap()
	switch t.Kind {
	case plan.Bool:
		return object{"type": "boolean"}
	case plan.Int, plan.Uint:
		return object{"type": []string{"integer", "string"}, "format": "int64", "description": "A string if the absolute value is above 2^53."}
	case plan.Double:
		return object{"type": []string{"number", "string"}, "format": "double", "description": `The only strings allowed are "NaN", "Infinity" and "-Infinity".`}
	case plan.Bytes:
		return object{"type": "string", "contentEncoding": "base64"}
	case plan.Timestamp:
		return object{"type": "string", "format": "date-time"}
	case plan.Duration:
		return object{"type": "string", "description": "Such as 1h30m0s or 2.5s."}
	case plan.List:
		return object{"type": "array", "items": orNull(schemaOf(*t.Elem))}
	case plan.Map:
		return object{"type": "object", "additionalProperties": orNull(schemaOf(*t.Elem))}
	}
	return object{"type": "string"}
}

var problemSchema = object{
	"type": "object", "required": []string{"title", "status", "code", "detail"},
	"properties": object{
		"title":  object{"type": "string"},
		"status": object{"type": "integer"},
		"code":   object{"type": "string", "description": "The gRPC code of the error, such as invalid_argument."},
		"detail": object{"type": "string", "description": "What is wrong and how to fix it."},
		"errors": object{"type": "array", "description": "Values of the request that are wrong.", "items": object{"type": "object", "required": []string{"pointer", "detail"},
			"properties": object{"pointer": object{"type": "string", "format": "json-pointer"}, "detail": object{"type": "string"}}}},
	},
}
