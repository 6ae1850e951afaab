package dev.whence.embedded;

import io.confluent.kafka.serializers.KafkaAvroSerializer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.Map;
import org.apache.avro.SchemaBuilder;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;

/**
 * A registry for the scripts under {@code src/test/conformance}: prints its address and, on the
 * next line, a record that the Java serializer framed, in base64; runs until standard input ends.
 */
public final class ConformanceServer {
  private ConformanceServer() {}

  public static void main(String[] args) throws Exception {
    Path directory = Files.createTempDirectory("registry");
    try (EmbeddedRegistry registry = EmbeddedRegistry.open(directory);
        KafkaAvroSerializer serializer = new KafkaAvroSerializer()) {
      serializer.configure(Map.of("schema.registry.url", registry.url()), false);
      GenericRecord greeting =
          new GenericData.Record(
              SchemaBuilder.record("Greeting")
                  .namespace("n")
                  .fields()
                  .requiredString("text")
                  .requiredDouble("nats")
                  .endRecord());
      greeting.put("text", "grüße");
      greeting.put("nats", 1.5);
      byte[] framed = serializer.serialize("java", greeting);
      System.out.println(registry.url());
      System.out.println(Base64.getEncoder().encodeToString(framed));
      while (System.in.read() >= 0) {
        // until the script closes its end
      }
    }
  }
}
