/**
 * Values in the Confluent wire format, read with the record's faults and the registry's kept apart.
 */
package dev.whence.runtime.serde;
