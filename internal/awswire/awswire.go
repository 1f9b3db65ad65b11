// Package awswire is the grammar of AWS's protocols: REST-JSON, Query/XML and
// S3's XML, as far as every service shares it.
package awswire
