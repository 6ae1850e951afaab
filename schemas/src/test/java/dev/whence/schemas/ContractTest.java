package dev.whence.schemas;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.schemas.avro.Agreement;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.Escalation;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluencePartial;
import dev.whence.schemas.avro.InfluenceQuery;
import dev.whence.schemas.avro.InfluenceRequest;
import dev.whence.schemas.avro.LlmResponse;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.TransferEvent;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.avro.Schema;
import org.apache.avro.SchemaFormatter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The contracts obey their rules and stay compatible with every version in {@code
 * src/main/avro-baseline}, where each directory holds the schemas of one release as they were
 * registered.
 */
class ContractTest {
  private static final Path BASELINES = Path.of("src", "main", "avro-baseline");

  private static final Map<String, Schema> CURRENT =
      new TreeMap<>(
          Map.of(
              "LlmResponse", AvroSerdes.published(LlmResponse.getClassSchema()),
              "Attribution", AvroSerdes.published(Attribution.getClassSchema()),
              "Escalation", AvroSerdes.published(Escalation.getClassSchema()),
              "Agreement", AvroSerdes.published(Agreement.getClassSchema()),
              "Influence", AvroSerdes.published(Influence.getClassSchema()),
              "InfluenceRequest", AvroSerdes.published(InfluenceRequest.getClassSchema()),
              "InfluenceQuery", AvroSerdes.published(InfluenceQuery.getClassSchema()),
              "InfluencePartial", AvroSerdes.published(InfluencePartial.getClassSchema()),
              "ModelRelease", AvroSerdes.published(ModelRelease.getClassSchema()),
              "TransferEvent", AvroSerdes.published(TransferEvent.getClassSchema())));

  static Stream<Schema> contracts() {
    return CURRENT.values().stream();
  }

  static Stream<Path> baselines() throws IOException {
    try (Stream<Path> files = Files.walk(BASELINES, 2)) {
      return files.filter(file -> file.toString().endsWith(".avsc")).sorted().toList().stream();
    }
  }

  @ParameterizedTest
  @MethodSource("contracts")
  void aContractObeysTheRules(Schema contract) {
    Set<String> keys =
        contracts()
            .map(each -> each.getName() + "." + each.getFields().get(0).name())
            .collect(Collectors.toSet());

    assertThat(ContractRules.lint(contract, keys)).isEmpty();
  }

  @ParameterizedTest
  @MethodSource("baselines")
  void aContractIsFullyCompatibleWithEveryEarlierVersion(Path baseline) {
    Schema earlier = parse(baseline);
    Schema current = CURRENT.get(earlier.getName());

    assertThat(current).as("%s is gone", earlier.getFullName()).isNotNull();
    assertThat(ContractRules.incompatibilities(current, earlier)).isEmpty();
  }

  @Test
  void everyContractHasABaseline() throws IOException {
    assertThat(baselines().map(file -> parse(file).getName()).distinct())
        .containsExactlyInAnyOrderElementsOf(CURRENT.keySet());
  }

  @Test
  void noContractTellsJavasPropertiesToOtherLanguages() {
    CURRENT
        .values()
        .forEach(contract -> assertThat(contract.toString()).doesNotContain("avro.java"));
  }

  @Test
  void everyTopicsValueIsAContract() {
    assertThat(
            new Topics(Topics.DEFAULT_PREFIX)
                .all().stream().flatMap(topic -> topic.value().stream()))
        .containsExactlyInAnyOrderElementsOf(CURRENT.values());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\0',
      textBlock =
          """
          "default": 0, "doc": "First character, in UTF-16 | "doc": "First character, in UTF-16 | has no default
          "doc": "First character, in UTF-16 code units from 0." | "doc": "First character of it." | names no unit
          "doc": "First character, in UTF-16 code units from 0." | "aliases": ["x"] | needs a doc that is a sentence
          "doc": "A half-open range of a text.", | "aliases": ["Range"], | has an alias: names never change
          "symbols": ["UNKNOWN", "INSTRUCTION" | "symbols": ["INSTRUCTION", "UNKNOWN" | must have UNKNOWN as its first symbol
          "MEDIA"], "default": "UNKNOWN" | "MEDIA"] | must have UNKNOWN as its first symbol
          "name": "title", "type": "string", "default": "" | "name": "title", "type": ["string", "null"], "default": "" | is a union other than [null, T]
          "namespace": "dev.whence.schemas.avro", | "namespace": "dev.whence.other", | is not in namespace
          """)
  void aBrokenRuleIsFound(String good, String bad, String breach) {
    Schema broken = changed(good, bad);

    assertThat(ContractRules.lint(broken, "responseId")).anyMatch(each -> each.contains(breach));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\0',
      textBlock =
          """
          a field without a default | "fields": [ {"name": "responseId" | "fields": [ {"name": "x", "type": "int"}, {"name": "responseId"
          a key that is renamed | "name": "responseId" | "name": "id"
          a wider number | "name": "start", "type": "int" | "name": "start", "type": "long"
          another type | "name": "model", "type": "string", "default": "" | "name": "model", "type": "bytes", "default": ""
          a renamed record | "name": "PromptPart" | "name": "Segment"
          another namespace | "namespace": "dev.whence.schemas.avro", | "namespace": "dev.whence.other",
          a nullable field | "name": "model", "type": "string", "default": "" | "name": "model", "type": ["null", "string"], "default": null
          an enum without its default | "MEDIA"], "default": "UNKNOWN" | "MEDIA", "VIDEO"]
          a symbol that is gone | "HISTORY", "MEDIA"] | "HISTORY"]
          another unit of time | timestamp-millis | timestamp-micros
          """)
  void anIncompatibleChangeIsFound(String name, String good, String bad) {
    Schema earlier = changed("", "");

    assertThat(ContractRules.incompatibilities(changed(good, bad), earlier)).as(name).isNotEmpty();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\0',
      textBlock =
          """
          a new field with a default | "fields": [ {"name": "responseId" | "fields": [ {"name": "x", "type": "int", "default": 0}, {"name": "responseId"
          a new symbol | "MEDIA"], "default": "UNKNOWN" | "MEDIA", "VIDEO"], "default": "UNKNOWN"
          a better doc | A half-open range of a text. | A half-open range of characters.
          """)
  void aCompatibleChangeIsAccepted(String name, String good, String bad) {
    Schema earlier = changed("", "");

    assertThat(ContractRules.incompatibilities(changed(good, bad), earlier)).as(name).isEmpty();
  }

  /** How a release adds its baseline: see the module's README. */
  @Test
  @EnabledIfSystemProperty(named = "whence.baseline", matches = "[0-9].*")
  void theContractsAsTheyAreBecomeABaseline() throws IOException {
    Path directory = BASELINES.resolve(System.getProperty("whence.baseline"));
    Files.createDirectory(directory);
    for (Schema contract : CURRENT.values()) {
      Path file = directory.resolve(contract.getName() + ".avsc");
      Files.writeString(file, SchemaFormatter.format("json/pretty", contract) + "\n");
      assertThat(parse(file)).isEqualTo(contract);
    }
  }

  /** LlmResponse with a change to its text, spaces aside. */
  private static Schema changed(String from, String to) {
    UnaryOperator<String> oneSpace = text -> text.replaceAll("\\s+", " ");
    String text = oneSpace.apply(read(Path.of("src", "main", "avro", "LlmResponse.avsc")));
    assertThat(text).contains(from);
    return new Schema.Parser().parse(text.replace(from, to));
  }

  private static Schema parse(Path file) {
    return new Schema.Parser().parse(read(file));
  }

  private static String read(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
