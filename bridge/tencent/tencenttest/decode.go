package tencenttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// decode reads a JSON object into a struct and insists on every field being known, in its own case:
// encoding/json alone would take groupid for GroupId. Tencent's tables give no field that is null.
func decode(raw []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("failed to read body: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something stands behind the JSON")
	}
	return checkFields(raw, reflect.TypeOf(into).Elem(), "")
}

// checkFields looks for names that differ from those of the type in case, at any depth, and for nulls.
func checkFields(raw []byte, typ reflect.Type, path string) error {
	if string(bytes.TrimSpace(raw)) == "null" {
		return fmt.Errorf("%s is null", path)
	}
	if typ == reflect.TypeFor[json.RawMessage]() {
		return nil
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return checkFields(raw, typ.Elem(), path)
	case reflect.Slice:
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return fmt.Errorf("failed to read %s: %w", path, err)
		}
		for i, item := range items {
			if err := checkFields(item, typ.Elem(), fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case reflect.Struct:
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(raw, &fields); err != nil {
			return fmt.Errorf("failed to read %s: %w", path, err)
		}
		known := make(map[string]reflect.Type)
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			known[name] = typ.Field(i).Type
		}
		for name, value := range fields {
			at, ok := known[name]
			if !ok {
				return fmt.Errorf("no field %s.%s", path, name)
			}
			if err := checkFields(value, at, path+"."+name); err != nil {
				return err
			}
		}
	}
	return nil
}

// mustJSON writes what cannot fail: maps, strings, numbers and JSON that was read before.
func mustJSON(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage(`{"ActionStatus":"FAIL","ErrorCode":10002,"ErrorInfo":"the fake cannot write its answer"}`)
	}
	return raw
}
