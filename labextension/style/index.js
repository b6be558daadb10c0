import './tokens.css';
import './base.css';
import './cards.css';
import './notebook.css';
import './sections.css';
