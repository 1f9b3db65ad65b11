package awswire

import (
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxMembers bounds a list. The longest that STS or IAM documents has 200
	// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
	maxMembers = 1000
	// maxIndex bounds the N of X.member.N.
	maxIndex = 1 << 31
)

// DecodeForm fills dst, a pointer to a struct, from a Query form. A field is
// the parameter named in its tag `query:"arn"`, or else by the field itself. Fields
// are strings, bools, int32, structs (X.Member), slices of those
// (X.member.N, in the order of N; gaps close up), or pointers to a scalar,
// which are nil if the parameter was not sent. The fields of an embedded struct
// count as those of the struct around it.
//
// The first value of a repeated parameter wins, and unknown parameters are
// ignored, as real STS does. Numbers and booleans that cannot be read, and list
// indices that are no positive integers, are an *Error, MalformedInput.
func DecodeForm(form url.Values, dst any) error {
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	return formDecoder{form, names}.decodeStruct("", reflect.ValueOf(dst).Elem())
}

type formDecoder struct {
	form  url.Values
	names []string // of form, sorted, so that what lies under a prefix lies together
}

// decodeStruct fills v from the parameters whose names start with prefix.
func (d formDecoder) decodeStruct(prefix string, v reflect.Value) error {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Anonymous {
			if err := d.decodeStruct(prefix, v.Field(i)); err != nil {
				return err
			}
			continue
		}
		name := field.Tag.Get("query")
		if name == "" {
			name = field.Name
		}
		if err := d.decode(prefix+name, v.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

func (d formDecoder) decode(name string, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Struct:
		return d.decodeStruct(name+".", v)
	case reflect.Slice:
		return d.decodeList(name, v)
	}
	values, sent := d.form[name]
	if !sent || len(values) == 0 {
		return nil
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	return decodeScalar(name, values[0], v)
}

func decodeScalar(name, value string, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Bool:
		switch strings.ToLower(value) {
		case "true":
			v.SetBool(true)
		case "false":
			v.SetBool(false)
		default:
			return malformed("%s is not a boolean.", name)
		}
	case reflect.Int32:
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil {
			return malformed("%s is not a 32-bit integer.", name)
		}
		v.SetInt(n)
	default: // a type that is none of DecodeForm's panics here, in its first test
		v.SetString(value)
	}
	return nil
}

// decodeList fills the slice v from NAME.member.N. An empty list is sent as "NAME=".
func (d formDecoder) decodeList(name string, v reflect.Value) error {
	indices, err := d.indices(name + ".member.")
	if err != nil {
		return err
	}
	if len(indices) == 0 {
		if d.form.Has(name) {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		return nil
	}
	list := reflect.MakeSlice(v.Type(), len(indices), len(indices))
	for i, index := range indices {
		if err := d.decode(name+".member."+strconv.Itoa(index), list.Index(i)); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}

// indices returns every N for which there is a parameter PREFIX + N, in order.
func (d formDecoder) indices(prefix string) ([]int, error) {
	start, _ := slices.BinarySearch(d.names, prefix)
	var found []int
	for _, name := range d.names[start:] {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			break
		}
		text, _, _ := strings.Cut(rest, ".")
		n, err := strconv.Atoi(text)
		// 01 and +1 would be other spellings of a member that may be there as 1.
		if err != nil || n < 1 || n >= maxIndex || strconv.Itoa(n) != text {
			return nil, malformed("%s%.20s is not a member of a list.", prefix, text)
		}
		if len(found) == 0 || found[len(found)-1] != n { // '.' sorts before digits: 1, 1.Key, 10
			found = append(found, n)
		}
		if len(found) > maxMembers {
			return nil, malformed("%s has more than %d members.", strings.TrimSuffix(prefix, ".member."), maxMembers)
		}
	}
	slices.Sort(found)
	return found, nil
}
