package dev.whence.influence.index;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.corpus.CorpusDocument.Reference;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/**
 * A document of an index; its text stays in the corpus.
 *
 * @param id of the document
 * @param reference its line
 * @param tokens of it
 * @param excerpt the beginning of its text
 */
public record IndexedDocument(String id, Reference reference, int tokens, String excerpt) {
  static IndexedDocument of(CorpusDocument document) {
    return new IndexedDocument(
        document.id(), document.reference(), document.tokens(), document.excerpt());
  }

  byte[] bytes() {
    return JsonMapper.builder()
        .build()
        .createObjectNode()
        .put("id", id)
        .put("line", reference.line())
        .put("offset", reference.offset())
        .put("bytes", reference.bytes())
        .put("tokens", tokens)
        .put("excerpt", excerpt)
        .toString()
        .getBytes(StandardCharsets.UTF_8);
  }

  static IndexedDocument read(byte[] bytes) throws IOException {
    JsonNode json = JsonMapper.builder().build().readTree(bytes);
    return new IndexedDocument(
        json.path("id").asText(),
        new Reference(
            json.path("line").asLong(), json.path("offset").asLong(), json.path("bytes").asInt()),
        json.path("tokens").asInt(),
        json.path("excerpt").asText());
  }
}
