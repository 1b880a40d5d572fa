//! The pages of the examples: templates in HTML, and one stylesheet.

/// A page: each `{name}` of the template is replaced by HTML, and the page is shown as `user`, or a stranger, sees it.
pub(crate) fn fill(template: &str, user: Option<&str>, fields: &[(&str, &str)]) -> String {
    let page = template
        .replace("{style}", include_str!("style.css"))
        .replace("{visitor}", if user.is_some() { "member" } else { "stranger" })
        .replace("{user}", &escape(user.unwrap_or("stranger")));
    fields.iter().fold(page, |page, (name, html)| page.replace(&format!("{{{name}}}"), html))
}

/// Text as HTML, without the braces that mark a template's fields.
pub(crate) fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    text.replace(['{', '}'], "")
}
