/**
 * What travels on Whence's topics, as data and without any client: {@link
 * dev.whence.schemas.Topics} is the catalogue, {@link dev.whence.schemas.LlmResponses} maps
 * conversations to Avro records and back, {@link dev.whence.schemas.EventHeaders} are the headers
 * that every record carries, {@link dev.whence.schemas.AvroSerdes} is how Confluent's serializers
 * are configured, and {@link dev.whence.schemas.AvroLimits} keeps five bytes from asking for two
 * gigabytes. The records themselves are generated from {@code src/main/avro} into {@code
 * dev.whence.schemas.avro}.
 */
package dev.whence.schemas;
