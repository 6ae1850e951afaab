package dev.whence.engine.weights;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.exc.StreamConstraintsException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.regex.Pattern;

/** JSON of a model's files: bounded in bytes, values and nesting, duplicate keys refused. */
public final class UntrustedJson {
  /** The largest tokenizer.json in the wild has about 40 MB. */
  static final long MAX_BYTES = 256L << 20;

  /** Of what is an object of a few keys in all models. */
  private static final long MAX_SMALL_BYTES = 4L << 20;

  /** Of tokenizer_config.json, which may list added tokens. */
  private static final long MAX_LIST_BYTES = 32L << 20;

  /**
   * Names, values and brackets of a file: a tree of them takes some 64 bytes each, whatever the
   * file takes. The largest vocabularies, two million pieces with their scores, have 8 million.
   */
  static final long MAX_TOKENS = 16L << 20;

  private static final int MAX_NESTING = 64;

  /** In a place: in whose text it is, which is not said. */
  private static final Pattern REDACTED = Pattern.compile("\\[Source: [^;\\]]*; ");

  private static final ObjectMapper JSON =
      new ObjectMapper(
          JsonFactory.builder()
              .streamReadConstraints(
                  StreamReadConstraints.builder()
                      .maxNestingDepth(MAX_NESTING)
                      .maxTokenCount(MAX_TOKENS)
                      .maxStringLength(16 << 20)
                      .maxNumberLength(64)
                      .maxNameLength(64 << 10)
                      .build())
              .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
              .disable(StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION)
              .build());

  private UntrustedJson() {}

  /** Refuses duplicate keys, deep nesting and giant strings. */
  public static ObjectMapper mapper() {
    return JSON;
  }

  /** Parses one JSON object; the origin names it in errors. */
  public static JsonNode object(byte[] bytes, String origin) {
    try {
      return checked(JSON.readTree(bytes), origin);
    } catch (IOException e) {
      throw refused(e, origin);
    }
  }

  static JsonNode object(InputStream in, String origin) {
    try {
      return checked(JSON.readTree(in), origin);
    } catch (IOException e) {
      throw refused(e, origin);
    }
  }

  /** Reads a file of a model's directory, no larger than one of its name may be. */
  public static byte[] bytes(Path directory, String name) {
    long most =
        switch (name) {
          case "config.json", "generation_config.json", "special_tokens_map.json" ->
              MAX_SMALL_BYTES;
          case "tokenizer_config.json" -> MAX_LIST_BYTES;
          default -> MAX_BYTES;
        };
    return bytes(ContainedPath.resolve(directory, name), most);
  }

  /** Reads a file of at most {@link #MAX_BYTES}. */
  public static byte[] bytes(Path path) {
    return bytes(path, MAX_BYTES);
  }

  private static byte[] bytes(Path path, long most) {
    try (BoundedFile file = BoundedFile.open(path)) {
      if (file.size() > most) {
        throw file.refuse("has " + file.size() + " bytes, more than the " + most + " allowed");
      }
      byte[] bytes = new byte[(int) file.size()];
      file.read(0, java.nio.ByteBuffer.wrap(bytes));
      return bytes;
    }
  }

  private static JsonNode checked(JsonNode node, String origin) {
    if (!node.isObject()) {
      throw new EngineException(Kind.MODEL, origin + " is not a JSON object");
    }
    return node;
  }

  /** What is wrong with a JSON text. Jackson's own message also says that it shows none of it. */
  public static String problem(JacksonException e) {
    return REDACTED.matcher(e.getOriginalMessage()).replaceAll("[");
  }

  private static EngineException refused(IOException e, String origin) {
    String where =
        e instanceof JsonProcessingException json && json.getLocation() != null
            ? ", byte " + json.getLocation().getByteOffset()
            : "";
    String what = e instanceof JsonProcessingException json ? problem(json) : "" + e;
    String problem =
        e instanceof StreamConstraintsException
            ? ": goes past a limit of what is read: "
            : ": not valid JSON: ";
    return new EngineException(Kind.MODEL, origin + where + problem + what, e);
  }
}
